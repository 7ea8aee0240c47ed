"""The planted defects, a module for each part of the contract: every class or function with the decorator is one."""
