"""A legacy Spring Cloud provider and consumer, of four eras: two source files, and what starts and counts them."""
