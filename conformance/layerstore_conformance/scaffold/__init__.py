"""``layerstore new-driver``: a distribution for a driver, complete but for the driver."""
