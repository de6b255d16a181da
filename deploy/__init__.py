"""How Undercast is run: the operator's command, the lab, the images and the documents."""
