"""Types that all layers share: calls, replies, errors, events, deadlines, budgets. It imports no other layer."""
