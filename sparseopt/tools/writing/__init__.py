"""Networks as models of other libraries, and back in the files that they came from."""
