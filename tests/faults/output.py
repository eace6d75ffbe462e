"""Group G: answers that would harm whoever shows them."""
