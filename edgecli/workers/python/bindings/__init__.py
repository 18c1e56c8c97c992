"""What `env` holds: bindings that speak the wire of workerd's internal modules to the server."""
