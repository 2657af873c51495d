"""The agent of a Kafka broker: may it stop, hand over, is it healthy, take over again.

Its README is the contract with the scripts `gate`, `drain`, `health` and `resume`.
"""
