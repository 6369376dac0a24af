"""The paper's networks: modules, weights, device. Stages that use them are in hub/; nothing is imported here."""
