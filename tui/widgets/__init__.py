"""Generic widgets: they draw what the render layer made and know nothing of clusters."""
