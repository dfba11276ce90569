"""Microphones: listing, opening, capturing, reconnecting."""
