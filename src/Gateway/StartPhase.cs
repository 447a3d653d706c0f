namespace Gateway;

/// <summary>Whether the gateway is still starting: what goes wrong until then, the command line says in its own words, without stack traces.</summary>
internal sealed class StartPhase
{
    private volatile bool _isOver;

    public bool IsOver => _isOver;

    public void End() => _isOver = true;
}
