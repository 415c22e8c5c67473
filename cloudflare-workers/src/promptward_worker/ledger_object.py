from workers import DurableObject


class BudgetLedgerObject(DurableObject):
    """Budgets of one tenant."""
