"""What workers share and what outlives them: the store, money, remembered answers, signs of life."""
