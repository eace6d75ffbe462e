"""What tests need, for users' tests too: fakes, contract classes and the phrase-bank lint."""
