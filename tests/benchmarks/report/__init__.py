"""What becomes of the figures: aims, the page and the plot."""
