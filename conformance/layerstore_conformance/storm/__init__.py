"""A storm: many processes use one store and are killed, stopped and interrupted; then all that was promised is asked for."""
