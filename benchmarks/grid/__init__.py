"""What it costs to hand out chunks, from a thousand to a million of them."""
