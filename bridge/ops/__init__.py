"""What an operator sees and does: logs, metrics, the admin port, the status page, shutdown."""
