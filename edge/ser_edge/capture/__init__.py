"""Microphones: listing, opening, capturing, and reconnecting."""
