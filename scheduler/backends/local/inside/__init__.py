"""What runs inside sandboxes; imports nothing of this project but itself."""
