"""A storm: many processes use one store, are killed, stopped and interrupted; then what was promised must hold."""
