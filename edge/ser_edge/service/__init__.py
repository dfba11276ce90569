"""Running as a service: systemd units and notifications."""
