"""The screens. Each names its feed and asks the render layer what to show; the rest is in `base`."""
