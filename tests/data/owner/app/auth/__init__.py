"""A package of the owner's that is called as a feature is: auth."""
