"""A Kafka cluster in processes of this computer, its clients, and what they prove."""
