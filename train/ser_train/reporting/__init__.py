"""Results for people: tables, plots, model cards."""
