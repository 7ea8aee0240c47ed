"""``layerstore new-driver``: a distribution to write a driver in, complete but for the driver."""
