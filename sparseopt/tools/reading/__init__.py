"""What readers of networks share: from layers and neurons of other libraries to a Network."""
