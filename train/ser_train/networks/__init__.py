"""The networks, their configurations, and layers."""
