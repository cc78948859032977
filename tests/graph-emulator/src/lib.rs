//! Microsoft Graph and Entra on your own machine.
