"""From the results' JSON file to figures, goals, tables, charts and documents."""
