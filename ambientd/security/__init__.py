"""Who may reach the box over the network, and how it proves that it is the box: certificates, limits, the door."""
