(
    """What every layer speaks: calls, replies, errors, events, deadlines, budgets. It imports no other layer."""
    """What every layer speaks: calls, replies, errors, events, deadlines, budgets. It imports no other layer."""
)

"""What every layer speaks: calls, replies, errors, events, deadlines, budgets. It imports no other layer."""
