using System.Data.Common;

namespace DemoBackend;

/// <summary>Seed 003's controller advice: a transaction that lost against another one is the client's to try again.</summary>
internal sealed class SerializationAdvice(Database database, TimeProvider time) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        try
        {
            return await next(context);
        }
        catch (DbException e) when (database.IsSerializationFailure(e))
        {
            return Results.Json(
                new { Timestamp = time.GetUtcNow(), Message = "Sorry, another request is being processed at this moment" }, statusCode: 409);
        }
    }
}
