"""The parts of a call to `fine_tune`, from checking the data to averaging weights."""
