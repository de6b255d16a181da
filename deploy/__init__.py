"""How Undercast is run: operator command, lab, image builders, documents."""
