"""How the stages of a dataset ran, added up from the lines of its logs. No run depends on them."""
