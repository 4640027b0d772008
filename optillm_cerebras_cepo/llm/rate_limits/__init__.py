"""Keep calls within the rate limits of the API: pure rules, a priority queue, and where the limits are stored."""
