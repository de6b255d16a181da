"""Operations: rows in the queue, and the runner that makes them true step by step."""
