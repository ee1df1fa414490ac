"""How far a dataset is: chunks done, failed and missing, speed, time left and errors, from its files and logs alone."""
