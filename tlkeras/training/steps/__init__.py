"""The parts of a call of `fine_tune`, from checking the data to averaging weights."""
