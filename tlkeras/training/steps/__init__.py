"""The steps of `fine_tune`, from checking the data to averaging weights."""
