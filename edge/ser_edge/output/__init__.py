"""Where predictions go: writers for each format, the live view, MQTT; and progress."""
