"""The scenarios, a module for each part of the contract: every function with the decorator is one behaviour."""
