"""What hosts fetch from the controller, on the management network only."""
