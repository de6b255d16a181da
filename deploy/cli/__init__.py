"""The operator's command ``undercast``: one module per noun."""
