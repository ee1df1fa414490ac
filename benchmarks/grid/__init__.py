"""The cost of handing out chunks, from a thousand to a million of them."""
